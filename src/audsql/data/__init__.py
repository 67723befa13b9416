"""Own data: reading files, ids, and the engines that evaluate sets of people."""
