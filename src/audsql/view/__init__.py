"""Views: public JSON documents turned into text. No view reads anything but the document that it is given."""
