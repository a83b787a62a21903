"""Tuning: derivatives of what training comes to, descent on them, and transfer from narrow to wide."""
