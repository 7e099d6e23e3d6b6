"""Results for people: pictures of ground truth and prediction, and HTML pages that work offline.

All are functions of their arguments alone (no date, no host), so the same run gives the same bytes.
"""
