"""Results for people: pictures of ground truth and prediction, and one HTML page that works offline.

    pictures = write_pictures(reports / "pictures", comparisons)
    write_report(reports / "report.html", Report(source="sample", metrics=..., pictures=pictures, ...))

Both are functions of their arguments alone (no date, no host), so the same run gives the same bytes.
"""

from fashionseg.report.page import Report, write_report
from fashionseg.report.pictures import Comparison, Picture, write_pictures

__all__ = ["Comparison", "Picture", "Report", "write_pictures", "write_report"]
