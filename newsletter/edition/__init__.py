"""An issue set in a theme: subject, html and text, as pieces that fit together for any choice of countries."""
