"""Hiding secrets in what is shown of failures, as the settings say."""

from __future__ import annotations

from dataclasses import replace

from engine.model.difference import Change
from engine.model.masking import MASK, UNMASKED, Masking
from engine.settings import Settings
from engine.storage.failures import FailureDetail, FailureRow

__all__ = ("MASK", "UNMASKED", "Change", "Masking", "mask_detail", "mask_row", "masking_for")


def masking_for(settings: Settings) -> Masking:
    """What the settings `mask`, `mask_fields` and `mask_patterns` hide."""
    return Masking(settings.mask_fields, settings.mask_patterns, on=settings.mask)


def mask_row(row: FailureRow, masking: Masking) -> FailureRow:
    """A failure as it is listed, its secrets hidden."""
    return row._replace(message=masking.text(row.message), reason=masking.text(row.reason)) if masking.on else row


def mask_detail(detail: FailureDetail, masking: Masking) -> FailureDetail:
    """A failure with its message, the secrets hidden in body, headers and texts."""
    if not masking.on:
        return detail
    message = detail.original
    return FailureDetail(
        mask_row(detail.row, masking),
        masking.text(detail.traceback),
        replace(message, body=masking.body(message.body), headers=masking.headers(message.headers)),
    )
