"""The style sheet of every pagelab widget, and the script that makes it work from the keyboard and for a screen reader."""

CSS = """
.pagelab { --ink: #1F2328; --quiet: #57606A; --line: #D5DAE0; --paper: #FFFFFF; --changed: #B84300; --accent: #C94A00; max-width: 848px;
  color: var(--ink); font: 13px/20px Helvetica, Arial, sans-serif; padding: 2px; }
[data-jp-theme-light="false"] .pagelab:not(.pagelab-light), .pagelab.pagelab-dark { --ink: #E8EAED; --quiet: #A9B1BA; --line: #3B424A;
  --paper: #111111; --changed: #FF9A57; --accent: #FF8A3D; }
.pagelab.pagelab-light, .pagelab.pagelab-dark { background: var(--paper); }
.pagelab .widget-html, .pagelab .widget-html-content { color: inherit; font: inherit; line-height: inherit; margin: 0; overflow: visible;
  height: auto; }
.pagelab .widget-html-content > div { line-height: 20px; }
.pagelab button { background: transparent; color: var(--ink); border: 1px solid var(--quiet); border-radius: 3px; width: auto;
  min-width: 56px; padding: 0 12px; box-shadow: none; }
.pagelab button:hover { border-color: var(--ink); box-shadow: none; }
.pagelab button:focus-visible, .pagelab input:focus-visible, .pagelab textarea:focus-visible, .pagelab .noUi-handle:focus-visible,
.pagelab summary:focus-visible { outline: 2px solid var(--ink); outline-offset: 1px; }
.pagelab button.mod-active { background: var(--ink); color: var(--paper); box-shadow: none; }
.pagelab button:disabled { opacity: 1; color: var(--quiet); border-style: dashed; }
.pagelab .pagelab-main { border: 1px solid var(--ink); font-weight: bold; }
.pagelab .noUi-connect { background: var(--quiet); }
.pagelab .noUi-handle { background: var(--accent); border-color: var(--accent); }
.pagelab .noUi-target { background: var(--line); border-color: var(--line); }
.pagelab input[type="text"], .pagelab textarea { background: var(--paper); color: var(--ink); border: 1px solid var(--quiet);
  font: 13px Menlo, Consolas, 'Liberation Mono', monospace; }
.pagelab .widget-label { color: var(--ink); font: 13px/28px Helvetica, Arial, sans-serif; }
.pagelab-acts { color: var(--quiet); font-size: 11px; line-height: 16px; min-height: 16px; margin-top: 4px; }
.pagelab-acts b { color: var(--changed); }
.pagelab-caption { font-size: 15px; line-height: 22px; min-height: 44px; max-width: 640px; }
.pagelab-source { white-space: pre; color: var(--quiet); font: 11px/16px Menlo, Consolas, 'Liberation Mono', monospace; }
.pagelab-legend { color: var(--quiet); font-size: 11px; line-height: 16px; }
.pagelab-legend span { display: inline-block; margin-right: 18px; }
.pagelab-legend i { display: inline-block; width: 26px; height: 13px; margin-right: 6px; vertical-align: -2px; text-align: center;
  font: bold 11px/13px Helvetica, Arial, sans-serif; box-sizing: border-box; }
.pagelab-table { border-collapse: collapse; font: 12px/20px Menlo, Consolas, 'Liberation Mono', monospace; color: var(--ink); }
.pagelab-table caption { text-align: left; white-space: nowrap; color: var(--quiet); caption-side: top;
  font: 12px/20px Helvetica, Arial, sans-serif; }
.pagelab-table th { text-align: left; font: 12px/20px Helvetica, Arial, sans-serif; color: var(--quiet); padding: 0 12px 0 0; }
.pagelab-table td { padding: 0 12px 0 0; border-top: 1px solid var(--line); white-space: normal; }
.pagelab-table th[scope="row"] { border-top: 1px solid var(--line); color: var(--ink); }
.pagelab summary { color: var(--quiet); cursor: pointer; width: max-content; }
.pagelab .widget-hbox { align-items: center; gap: 6px; overflow: visible; }
.pagelab .widget-hbox > .widget-button, .pagelab .widget-toggle-buttons button { margin: 0; height: 28px; line-height: 26px; }
.pagelab .widget-toggle-buttons { margin: 0; width: auto; }
.pagelab .widget-toggle-buttons .widget-toggle-button { margin: 0 4px 0 0; }
.pagelab .widget-hslider { margin: 0 10px; }
.pagelab > .widget-hbox { padding: 3px 0; }
.pagelab .widget-vbox, .pagelab-panel { overflow: visible; }
.pagelab-verdict { max-width: 640px; line-height: 20px; min-height: 20px; margin-left: 6px; }
.pagelab-late { visibility: hidden; height: 0; overflow: hidden; animation: pagelab-late 0s 5s forwards; }
@keyframes pagelab-late { to { visibility: visible; height: auto; } }
[data-ready] .pagelab-late { display: none; }
.pagelab-error { font: 13px/18px Menlo, Consolas, 'Liberation Mono', monospace; white-space: pre-wrap; }
.pagelab-off { display: none; }
.jupyter-widgets-disconnected .pagelab-off { display: block; font-weight: bold; border: 1px solid var(--ink); padding: 4px 8px; }
"""

READY = """
let el = null;
const view = window.Bokeh && window.Bokeh.index && window.Bokeh.index.find_one(figure);
if (view) {
  el = view.el;
  while (el && el.getRootNode() instanceof ShadowRoot) el = el.getRootNode().host;
}
const paper = getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim();
if (paper) {
  const probe = document.createElement('span');
  probe.style.color = paper;
  document.body.appendChild(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number);
  probe.remove();
  const theme = 0.2126 * r + 0.7152 * g + 0.0722 * b < 128 ? 'dark' : 'light';
  if (seen.data.theme[0] !== theme) seen.data = {theme: [theme]};
}
const box = el && el.closest('.pagelab');
if (box) {
  el.setAttribute('role', 'img');
  el.setAttribute('aria-label', label);
  const name = () => {
    for (const status of box.querySelectorAll('.pagelab-status')) {
      status.setAttribute('role', 'status');
      status.setAttribute('aria-live', 'polite');
    }
    for (const handle of box.querySelectorAll('.noUi-handle')) handle.setAttribute('aria-label', 'step');
    for (const group of box.querySelectorAll('.widget-toggle-buttons')) {
      group.setAttribute('role', 'group');
      group.setAttribute('aria-label', 'one step is');
      for (const button of group.querySelectorAll('button')) button.setAttribute('aria-pressed', button.classList.contains('mod-active'));
    }
  };
  name();
  if (!box.dataset.ready) {
    box.dataset.ready = 'yes';
    new MutationObserver(name).observe(box, {childList: true, subtree: true, attributes: true, attributeFilter: ['class']});
    const keys = {ArrowRight: 'next', ArrowLeft: 'back', Home: 'first', End: 'last'};
    box.addEventListener('keydown', (event) => {
      const inside = event.composedPath()[0];
      if (!keys[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
      if (inside.closest && inside.closest('input, textarea, .noUi-handle')) return;
      const button = box.querySelector('.pagelab-' + keys[event.key]);
      if (!button) return;
      event.preventDefault();
      event.stopPropagation();
      button.click();
    }, true);
  }
}
"""
