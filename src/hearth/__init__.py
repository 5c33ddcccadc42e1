"""Robot demonstrations to a leaderboard."""
