"""Other names in the place of tables, in SQL of any origin."""

from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.model.renaming import Renaming, rename

NAMES = {"orders": "orders__r1", "Odd Name": "Odd Name__r1", "order_lines": "order_lines__r1"}


@pytest.mark.parametrize(
    ("sql", "renamed"),
    [
        ("SELECT orders.id FROM orders WHERE orders.id = ?", 'SELECT "orders__r1".id FROM "orders__r1" WHERE "orders__r1".id = ?'),
        ("select ORDERS.id from Orders", 'select "orders__r1".id from "orders__r1"'),
        ('INSERT INTO "Odd Name" (orders_id) VALUES (?)', 'INSERT INTO "Odd Name__r1" (orders_id) VALUES (?)'),
        ("SELECT x.orders, 'orders', \"it's orders\" FROM x", "SELECT x.orders, 'orders', \"it's orders\" FROM x"),
        ("SELECT 1 -- orders\n/* orders */ FROM order_lines", 'SELECT 1 -- orders\n/* orders */ FROM "order_lines__r1"'),
        ("SELECT %(orders)s, :orders, a::orders, $a$ orders $a$", "SELECT %(orders)s, :orders, a::orders, $a$ orders $a$"),
        ("SELECT 'it''s orders' FROM my_orders, orders2", "SELECT 'it''s orders' FROM my_orders, orders2"),
        ("CREATE TABLE orders (id INT REFERENCES order_lines (id))", 'CREATE TABLE "orders__r1" (id INT REFERENCES "order_lines__r1" (id))'),
    ],
)  # fmt: skip
def test_tables_are_renamed_and_nothing_else(sql: str, renamed: str) -> None:
    assert rename(sql, NAMES) == renamed
    assert Renaming(NAMES, "view")(sql) == renamed


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO stock VALUES (1)",
        "insert or replace into stock values (1)",
        "UPDATE stock SET orders = 1",
        "DELETE FROM ONLY stock",
        'UPDATE "ORDERS" SET x = 1',
        "INSERT INTO public.orders VALUES (1)",
    ],
)
def test_writing_another_table_is_refused_for_the_live_copy_too(sql: str) -> None:
    for names in (NAMES, {name: name for name in NAMES}):
        with pytest.raises(UsageError, match="none of its tables"):
            Renaming(names, "view")(sql)
    assert Renaming({}, "view")(sql) == sql


def test_what_reads_another_table_is_left_alone() -> None:
    same = Renaming({"orders": "orders"}, "view")
    assert same("SELECT * FROM stock JOIN orders") == "SELECT * FROM stock JOIN orders"
    assert same("UPDATE warren_projections SET position = 1") == "UPDATE warren_projections SET position = 1"
