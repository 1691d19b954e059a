"""Changes of timelines and queues, from the process that publishes them to the subscriptions of all processes."""
