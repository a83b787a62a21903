"""Programs that extend the library as its users would: from public names, thirty lines at most each."""
