"""What a learner sees: players, figures, and the fields that predictions are typed into."""
