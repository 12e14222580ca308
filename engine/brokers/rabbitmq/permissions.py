"""What this user may do on an exchange, found out without publishing anything to anybody."""

from __future__ import annotations

from aiormq.abc import ChannelFrame
from aiormq.exceptions import AMQPError
from pamqp import commands
from pamqp.header import ContentHeader

from engine.brokers.rabbitmq.calls import RESTART_HINT, call, closed_error
from engine.brokers.rabbitmq.link import Line
from engine.brokers.rabbitmq.tap import Sink
from engine.errors import AccessRefused, BrokerError, BrokerUnavailable

#: An expiration that is no number: RabbitMQ looks at it after the permission and before it routes, so it
#: refuses the message in any case, with 403 or with 406 (tried on 3.10 and 4.0).
_NONSENSE = "not a number"


async def may_write(line: Line, exchange: str, timeout: float) -> bool:
    """Whether an exchange is there and takes messages of this user; no message reaches any queue.

    Raises `AccessRefused` when the user may not write to it, and `BrokerUnavailable`.
    """
    doing = f"publishing to the exchange {exchange}"
    channel = await line.channel(timeout)
    sink = Sink()
    channel.attach(sink)
    frames = ChannelFrame.marshall(
        channel.number,
        [
            commands.Basic.Publish(exchange=exchange, routing_key=""),
            ContentHeader(body_size=0, properties=commands.Basic.Properties(expiration=_NONSENSE)),
        ],
    )
    try:
        await channel.write(frames.payload, timeout)
        await call(doing, channel.amqp.basic_qos(prefetch_count=1), timeout)
    except (AMQPError, BrokerError, RuntimeError, OSError):
        if sink.reason is None:
            raise BrokerUnavailable(f"The connection to RabbitMQ was lost while {doing}.", hint=RESTART_HINT) from None
    finally:
        await channel.close()
    if sink.reason is None or sink.reason.code == 406:
        return True
    error = closed_error(sink.reason, doing)
    if isinstance(error, AccessRefused):
        raise error
    return False
