"""How subjects behave in two worlds (other libraries, another file, another subject), and when a behaviour changed."""
