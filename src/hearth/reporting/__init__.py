"""Scores, intervals, tables, figures and the leaderboard page. Reads merged results alone."""
