"""RabbitMQ 3.10 to 4.3 over AMQP 0-9-1, through aio-pika and the channels beneath it."""
