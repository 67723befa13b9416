"""The compiler: a delivery as uploads, LINE audiences and disjoint sends. Pure."""
