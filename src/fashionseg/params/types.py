"""What the sections of params.yaml are made of: the dataclass decorator and the value ranges."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, validate_by_name=True)
component = dataclass(frozen=True, kw_only=True, config=_STRICT)

Count = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # the range of NumPy's and Keras's generators
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
InputScale = Annotated[float, Field(ge=0.25, le=4.0)]
FourPositive = tuple[Positive, Positive, Positive, Positive]
Text = Annotated[str, Field(min_length=1)]
BoolOrAuto = bool | Literal["auto"]
