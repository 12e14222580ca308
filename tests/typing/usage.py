"""Handlers as users write them. Checked strictly by test_typing.py; a line with `# error` must be refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, assert_type

from engine import (
    NEVER,
    NO_STREAM,
    Aggregate,
    AsyncSession,
    Command,
    Context,
    Depends,
    Engine,
    Event,
    EventData,
    EventLog,
    Query,
    Reject,
    Rejected,
    Repository,
    RetryLater,
    RetryPolicy,
    Settings,
    StreamId,
    WarrenError,
    applies,
    command_handler,
    handler,
    query_handler,
)
from engine.testing.scenario import Scenario


class OrderEvent(EventData, aggregate="order", key="order_id"):
    order_id: str


class OrderPlaced(OrderEvent, type="order.placed", version=1, extra="forbid"):
    total: Decimal


class OrderPaid(OrderEvent, type="order.paid"):
    amount: Decimal = Decimal(0)


@handler(OrderPlaced, timeout=5, retry=RetryPolicy(max_attempts=3), emits=[OrderPaid], key="order_id")
async def reserve(event: Event[OrderPlaced], ctx: Context, session: AsyncSession) -> None:
    assert_type(event.data, OrderPlaced)
    assert_type(event.data.total, Decimal)
    paid = ctx.emit(OrderPaid(order_id=event.data.order_id))
    assert_type(paid, Event[OrderPaid])
    ctx.log.info("reserved %s", event.data.order_id)
    if ctx.attempt > 2:
        raise Reject("given up")
    raise RetryLater(5.0)


@handler("order.*", "audit.#", queue="audit", key=lambda event: event.aggregate_id)
def audit(event: Event[dict[str, Any]]) -> int:
    return len(event.data)


@handler(OrderPlaced, OrderPaid)
async def either(event: Event[OrderPlaced | OrderPaid]) -> None:
    if isinstance(event.data, OrderPaid):
        assert_type(event.data.amount, Decimal)


async def pool() -> AsyncIterator[int]:
    yield 5


def client(ctx: Context, pool: Annotated[int, Depends(pool, scope="worker")]) -> str:
    return f"{ctx.event.id} {pool}"


Client = Annotated[str, Depends(client)]

CAREFUL = RetryPolicy(rules={ConnectionError: RetryPolicy(max_attempts=9), ValueError: NEVER})


@handler(OrderPlaced, batch=50, batch_wait=0.5, retry=CAREFUL)
async def many(events: list[Event[OrderPlaced]], ctx: Context, client: Client) -> None:
    assert_type(events[0].data, OrderPlaced)
    assert_type(client, str)
    paid = ctx.emit(OrderPaid(order_id="o"), cause=events[0], delay=1.5)
    assert_type(paid, Event[OrderPaid])
    assert_type(ctx.delay(OrderPaid(order_id="o"), 60), Event[OrderPaid])
    assert_type(ctx.send(OrderPaid(order_id="o"), queue="billing"), Event[OrderPaid])


class OutOfStock(EventData, type="order.out_of_stock"):
    left: int


class GetOrder(Query[OrderPlaced], type="order.get"):
    order_id: str


class ShipOrder(Command[list[str]], type="order.ship", key="order_id", rejections=(OutOfStock,)):
    order_id: str


class CloseShop(Command, type="shop.close"):
    pass


@query_handler(GetOrder, timeout=5, concurrency=32)
async def get_order(query: Event[GetOrder]) -> OrderPlaced:
    return OrderPlaced(order_id=query.data.order_id, total=Decimal(1))


@command_handler(ShipOrder, retry=RetryPolicy(max_attempts=3), emits=[OrderPaid])
async def ship(command: ShipOrder, ctx: Context, session: AsyncSession) -> list[str]:
    assert_type(ctx.send(CloseShop()), Event[CloseShop])
    raise Rejected(OutOfStock(left=0))


@handler(OrderPlaced, idempotency_key=lambda event: event.id)
def some(events: Sequence[Event[OrderPlaced]]) -> int:
    return len(events)


def base(event: Event[OrderEvent]) -> str:
    return event.data.order_id


def covariant(event: Event[OrderPlaced]) -> str:
    return base(event)


async def decorated_as_before(event: Event[OrderPlaced], ctx: Context, session: AsyncSession) -> None:
    await reserve(event, ctx, session)
    assert_type(audit(Event({}, event.type, event.id, event.timestamp)), int)


async def application() -> None:
    async with Engine.from_settings(Settings.load(app="shop")) as engine:
        published = await engine.publish(OrderPlaced(order_id="o-1", total=Decimal(1)))
        assert_type(published, Event[OrderPlaced])
        assert_type(await engine.request(GetOrder(order_id="o-1"), timeout=5), OrderPlaced)
        assert_type(await engine.request(ShipOrder(order_id="o-1")), list[str])
        await engine.request(CloseShop())
        assert_type(await engine.request(OrderPaid(order_id="o-1"), reply=int), int)
        assert_type(await engine.send(CloseShop()), Event[CloseShop])
        async for event in engine.subscribe("order.*"):
            assert_type(event, Event[dict[str, Any]])
        async with engine.subscribe(OrderPlaced, buffer=10) as events:
            async for placed in events:
                assert_type(placed, Event[OrderPlaced])
                assert_type(events.missed, int)


class Order(Aggregate, type="order", snapshot_every=100, snapshot_version=2, ignores=("order.noted",)):
    total: Decimal = Decimal(0)
    paid: bool = False

    def place(self, total: Decimal) -> None:
        emitted = self.emit(OrderPlaced(order_id=self.id, total=total))
        assert_type(emitted, OrderPlaced)

    @applies(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self.total = event.total

    @applies
    def _paid(self, event: OrderPaid) -> None:
        self.paid = True


class Ledger(Aggregate, type="order"):
    entries: list[str] = []

    @applies(OrderPlaced, OrderPaid)
    def _any(self, event: OrderPlaced | OrderPaid) -> None:
        self.entries.append(event.order_id)


@handler(OrderPaid)
async def settle(event: Event[OrderPaid], orders: Repository[Order], log: EventLog) -> None:
    order = await orders.load(event.data.order_id, version=3)
    assert_type(order, Order)
    await orders.save(order, Ledger.new("o-2"))
    assert_type(await log.append(StreamId("order", "o-1"), OrderPaid(order_id="o-1"), expected=NO_STREAM), int)


async def streams(engine: Engine, session: AsyncSession) -> None:
    orders = engine.repository(Order, session)
    assert_type(orders, Repository[Order])
    assert_type(await orders.find("o-1"), Order | None)
    assert_type(await orders.update(lambda order: order.total, "o-1"), Decimal)
    assert_type(await orders.update(lambda one, other: one.paid and other.paid, "o-1", "o-2"), bool)
    async for entry in engine.event_log().read(StreamId("order", "o-1"), OrderPlaced):
        order_id: str = entry.event.data.order_id
        print(order_id)
    async for raw in engine.event_log().read(StreamId("order", "o-1")):
        assert_type(raw.event.data, dict[str, Any])
    scenario = Scenario(Order, "o-1").given(OrderPlaced(order_id="o-1", total=Decimal(1)))
    assert_type(scenario.when(lambda order: order.place(Decimal(1))).then().aggregate, Order)


def refused(event: Event[OrderPlaced], ctx: Context) -> None:
    Order.new(5)  # error
    Order.new("o-1").emit("order.placed")  # error
    applies("order.placed")  # error
    StreamId("order")  # error
    Repository[OrderPlaced]  # error
    ctx.emit({"order_id": "o-1"})  # error
    ctx.emit(OrderPlaced)  # error
    ctx.emit(OrderPaid())  # error
    event.id = "other"  # error
    event.data = OrderPlaced(order_id="o", total=Decimal(1))  # error
    event.data.unknown  # error
    handler(OrderPlaced, timeout="5")  # error
    handler(OrderPlaced, timeot=5)  # error
    handler(5)  # error
    handler(OrderPlaced, batch="5")  # error
    Depends(client, scope="forever")  # error
    Depends("client")  # error
    RetryPolicy(rules={"ConnectionError": NEVER})  # error
    ctx.send({"order_id": "o"})  # error
    ctx.delay(OrderPaid(order_id="o"))  # error
    handler(OrderPlaced, emits=["order.paid"])  # error
    query_handler(OrderPlaced)  # error
    query_handler(GetOrder, retry=NEVER)  # error
    command_handler(ShipOrder, batch=5)  # error
    ship_again: ShipOrder = GetOrder(order_id="o")  # error
    wider: Event[OrderEvent] = event
    narrower: Event[OrderPaid] = event  # error
    print(wider, narrower, ship_again, WarrenError)
