"""Who trains the chunks of a sweep: workers that come, die and return, and the libraries that start them."""
