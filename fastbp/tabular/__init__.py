"""Estimators for tables: weighted ensembles of many networks and linear models, trained within a time limit."""
