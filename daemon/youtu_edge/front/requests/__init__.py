"""What was asked, from admission to the end: every open request, those that are finished whatever dies, cached answers."""
