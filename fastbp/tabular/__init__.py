"""Estimators for tables: many networks in cross-validation, weighted together. They need the extra ``tables``."""
