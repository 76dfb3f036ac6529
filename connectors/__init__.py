"""All that touches the outside: Kafka, MongoDB, SMTP, the web, models. Imports no other room."""
