"""Interactive figures of the report: plotly's, what can be drawn by Optuna drawn by Optuna; `figures` are for paper."""
