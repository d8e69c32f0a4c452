"""The style sheet of every pagelab widget, and the script that makes it work from the keyboard and for a screen reader."""

CSS = """
.pagelab { --ink: #1F2328; --quiet: #57606A; --line: #D5DAE0; --paper: #FFFFFF; --changed: #B84300; --accent: #C94A00;
  --mono: Menlo, Consolas, 'Liberation Mono', monospace; max-width: 65.3em; padding: 2px; overflow-x: auto;
  color: var(--ink); font: 13px/1.54 Helvetica, Arial, sans-serif; }
[data-jp-theme-light="false"] .pagelab:not(.pagelab-light), .pagelab.pagelab-dark { --ink: #E8EAED; --quiet: #A9B1BA; --line: #3B424A;
  --paper: #111111; --changed: #FF9A57; --accent: #FF8A3D; }
.pagelab.pagelab-light, .pagelab.pagelab-dark { background: var(--paper); }
.pagelab .pagelab { padding: 0; font-size: 1em; }
.pagelab .widget-html, .pagelab .widget-html-content { color: inherit; font: inherit; line-height: inherit; margin: 0; overflow: visible;
  height: auto; }
.pagelab .widget-html-content > div { line-height: 1.54; }
.pagelab .widget-vbox { overflow: visible; }
.pagelab .widget-hbox { align-items: center; gap: 6px; overflow: visible; }
.pagelab > .widget-hbox { padding: 3px 0; }
.pagelab button { background: transparent; color: var(--ink); border: 1px solid var(--quiet); border-radius: 3px; width: auto;
  flex-shrink: 0; min-width: 4.3em; height: 2.15em; line-height: 2em; font-size: 1em; margin: 0; padding: 0 .92em; box-shadow: none; }
.pagelab button:hover { border-color: var(--ink); box-shadow: none; }
.pagelab button:focus-visible, .pagelab input:focus-visible, .pagelab textarea:focus-visible, .pagelab select:focus-visible,
.pagelab .noUi-handle:focus-visible, .pagelab summary:focus-visible { outline: 2px solid var(--ink); outline-offset: 1px; }
.pagelab button.mod-active { background: var(--ink); color: var(--paper); box-shadow: none; }
.pagelab .pagelab-main { border: 1px solid var(--ink); font-weight: bold; }
.pagelab .widget-toggle-buttons { margin: 0; width: auto; }
.pagelab .widget-toggle-buttons .widget-toggle-button { margin: 0 4px 0 0; }
.pagelab .widget-hslider { margin: 0 10px; }
.pagelab .noUi-connect { background: var(--quiet); }
.pagelab .noUi-handle { background: var(--accent); border-color: var(--accent); }
.pagelab .noUi-target { background: var(--line); border-color: var(--line); }
.pagelab input[type="text"], .pagelab textarea, .pagelab select { background: var(--paper); color: var(--ink);
  border: 1px solid var(--quiet); font: 1em var(--mono); }
.pagelab input::placeholder { color: var(--quiet); opacity: 1; }
.pagelab .widget-label { color: var(--ink); font: 1em/2.15 Helvetica, Arial, sans-serif; }
.pagelab .pagelab-place { min-width: 0; color: var(--ink); white-space: nowrap; text-overflow: ellipsis; }
.pagelab-acts { color: var(--quiet); font-size: .846em; min-height: 1.54em; margin-top: 4px; }
.pagelab-acts b { color: var(--changed); }
.pagelab .pagelab-caption { font-size: 1.154em; line-height: 1.47; min-height: 2.94em; max-width: 42.7em; }
.pagelab .pagelab-source { white-space: pre; color: var(--quiet); font: .846em/1.45 var(--mono); }
.pagelab .pagelab-side-by-side { align-items: flex-start; gap: 2em; margin-left: 4.6em; }
.pagelab .pagelab-side-by-side > * { width: 28.2em; flex: none; }
.pagelab .pagelab-told { min-height: 4.62em; }
.pagelab-compared { min-height: 3.08em; }
.pagelab-compared td:first-child { white-space: nowrap; font-family: Helvetica, Arial, sans-serif; }
.pagelab-zones { color: var(--quiet); font-size: .923em; }
.pagelab .pagelab-legend { color: var(--quiet); font-size: .846em; }
.pagelab-legend span { display: inline-block; margin-right: 1.6em; vertical-align: middle; }
.pagelab-legend i { display: inline-block; width: 2.36em; height: 1.18em; margin-right: .55em; vertical-align: middle; text-align: center;
  font: bold 1em/1.1 Helvetica, Arial, sans-serif; box-sizing: border-box; }
.pagelab-table { border-collapse: collapse; font: .923em/1.67 var(--mono); color: var(--ink); }
.pagelab-table caption, .pagelab-table th { text-align: left; white-space: nowrap; color: var(--quiet); caption-side: top;
  font-family: Helvetica, Arial, sans-serif; font-weight: normal; }
.pagelab-table td, .pagelab-table th { padding: 0 1em 0 0; white-space: normal; }
.pagelab-table td, .pagelab-table th[scope="row"] { border-top: 1px solid var(--line); color: var(--ink); }
.pagelab .pagelab-words td, .pagelab .pagelab-words th { text-align: left; vertical-align: top; }
.pagelab-scores td, .pagelab-slabinfo td { text-align: right; }
.pagelab-scores td:last-child, .pagelab-slabinfo td:last-child { text-align: left; white-space: nowrap; }
.pagelab-rest { display: inline-block; height: .7em; box-sizing: border-box; border: solid var(--quiet); border-width: 1px 0;
  background: repeating-linear-gradient(-60deg, var(--quiet) 0 1px, transparent 1px 4px); }
.pagelab-bar { display: inline-block; height: .7em; background: var(--quiet); vertical-align: baseline; }
.pagelab summary { color: var(--quiet); cursor: pointer; width: max-content; }
.pagelab-verdict { max-width: 49em; min-height: 1.54em; margin-left: 6px; }
.pagelab .pagelab-error { font: 1em/1.4 var(--mono); white-space: pre-wrap; }
.pagelab-late { visibility: hidden; height: 0; overflow: hidden; animation: pagelab-late 0s 5s forwards; }
@keyframes pagelab-late { to { visibility: visible; height: auto; } }
[data-figures] .pagelab-late { display: none; }
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
for (let above = el && el.closest('.pagelab'); above; above = above.parentElement.closest('.pagelab')) above.dataset.figures = 'yes';
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
