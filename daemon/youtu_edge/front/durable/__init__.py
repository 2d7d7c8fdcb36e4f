"""Requests that are finished whatever dies: the journal, and those who follow an answer."""
