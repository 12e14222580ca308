"""RabbitMQ 3.10 to 4.3 over AMQP 0-9-1, through aio-pika and the channels beneath it."""

from __future__ import annotations

from engine.brokers.rabbitmq.broker import RabbitBroker

__all__ = ["RabbitBroker"]
