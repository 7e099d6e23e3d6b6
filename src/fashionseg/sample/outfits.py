"""Outfits: a random choice in which every category is frequent, painted from the skin outwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fashionseg.sample import accessories, lowers, uppers
from fashionseg.sample.canvas import Canvas
from fashionseg.sample.chance import pick
from fashionseg.sample.colours import choose_fabric
from fashionseg.sample.cuts import LONG, SHORT, THREE_QUARTER, LowerCut, UpperCut
from fashionseg.sample.figures import Body, choose_body, draw_legs, draw_torso
from fashionseg.sample.heads import draw_back_hair, draw_head
from fashionseg.sample.textures import Colour, Texture

ChooseFabric = Callable[..., Texture]  # arguments: kinds of fabric, and optionally the period of the pattern

UPPERS = ("shirt", "top", "jacket", "coat", "dress")
LOWERS = ("pants", "shorts", "skirt")
NUM_PAIRS = len(UPPERS) * len(LOWERS)
# Fractions of the figures.
HAT_SHARE, BAG_SHARE, SCARF_SHARE, TIGHTS_SHARE, ANNOTATED_SHARE = 0.45, 0.5, 0.26, 0.6, 0.35

PATTERNED = ("plain", "stripe", "dots", "check", "plaid", "floral", "melange", "gradient", "chevron")
SHIRTING = ("plain", "plain", "pinstripe", "check", "plaid", "stripe", "denim", "dots")
HEAVY = ("plain", "plain", "melange", "plaid", "denim", "camouflage")
COATING = ("plain", "plain", "melange", "check", "plaid")
TROUSERS = ("plain", "denim", "denim", "melange", "pinstripe", "check")
BEANIES, HATS = ("plain", "knit", "melange"), ("plain", "melange", "check")
TOTES, BAGS = ("plain", "stripe", "floral", "dots"), ("plain", "plain", "check", "chevron")


@dataclass(frozen=True)
class Outfit:
    """Clothes to paint. `upper` is one of UPPERS; `lower` one of LOWERS, or None under a dress."""

    upper: str
    upper_cut: UpperCut
    under: UpperCut | None  # the top below an open jacket or coat
    lower: str | None
    lower_cut: LowerCut | None
    tights: Texture | None
    shoes: tuple[str, Texture]
    hat: tuple[str, Texture] | None
    bag: tuple[str, int, Texture] | None  # style, side, fabric
    scarf: tuple[int, Texture] | None  # side, fabric
    flare: float
    is_open: bool


def kinds_of(number: int, order: np.ndarray) -> tuple[str, str]:
    """Upper and lower garment of photo `number`: each run of NUM_PAIRS photos has each pair once, in `order`."""
    pair = int(order[number % len(order)])
    return UPPERS[pair % len(UPPERS)], LOWERS[pair // len(UPPERS)]


def choose_outfit(
    rng: np.random.Generator, upper: str, lower_kind: str, background: tuple[Colour, ...]
) -> Outfit:
    """Fabrics, cuts and accessories for a given pair of garments."""
    seen = list(background)

    def fabric(kinds: tuple[str, ...], period: float = 0.045) -> Texture:
        chosen = choose_fabric(rng, kinds, seen[-4:], period)
        seen.append(chosen.base)
        return chosen

    def trim() -> Texture:
        return choose_fabric(rng, ("plain",), seen[-3:])

    # A coat without trousers is closed.
    is_open = upper == "jacket" or (upper == "coat" and lower_kind != "skirt" and rng.random() < 0.5)
    cut = _upper_cut(rng, upper, fabric, trim)
    under = None
    if is_open:
        under = replace(_upper_cut(rng, "top", fabric, trim), sleeve=0.0, hem=0.485, ease=0.0)
    lower, lower_cut = _lower_cut(rng, upper, lower_kind, fabric)
    if lower is None:  # shorter over bare legs or tights, so that they are seen
        cut = replace(cut, hem=min(cut.hem, 0.74))
    bare_legs = lower != "pants"
    tights = hat = bag = scarf = None
    if bare_legs and rng.random() < TIGHTS_SHARE:
        tights = fabric(("plain", "plain", "dots", "melange"))
    shoes = (pick(rng, accessories.SHOE_STYLES), fabric(("plain",)))
    if rng.random() < HAT_SHARE:
        style = pick(rng, accessories.HAT_STYLES)
        hat = (style, fabric(BEANIES if style == "beanie" else HATS))
    if rng.random() < BAG_SHARE:
        style = str(rng.choice(accessories.BAG_STYLES, p=(0.45, 0.4, 0.15)))
        kinds = TOTES if style == "tote" else BAGS
        bag = (style, int(rng.choice((-1, 1))), fabric(kinds))
    if upper != "shirt" and rng.random() < SCARF_SHARE:
        scarf = (int(rng.choice((-1, 1))), fabric(("plaid", "stripe", "knit", "plain", "check"), 0.038))
    return Outfit(
        *(upper, cut, under, lower, lower_cut, tights, shoes, hat, bag, scarf),
        flare=float(rng.uniform(0.135, 0.2)),
        is_open=is_open,
    )


def dress_body(rng: np.random.Generator, outfit: Outfit) -> Body:
    """A random body, with an arm pose that fits the bag."""
    if outfit.bag is None:
        return choose_body(rng, {})
    style, side, _ = outfit.bag
    return choose_body(rng, {side: "away" if style != "crossbody" else "on hip"})


def draw_figure(canvas: Canvas, body: Body, outfit: Outfit) -> None:
    """Paints the figure from back to front."""
    draw_back_hair(canvas, body)
    draw_legs(canvas, body)
    if outfit.tights:
        lowers.draw_tights(canvas, body, outfit.tights)
    if outfit.lower == "pants":  # trousers cover the shoes
        accessories.draw_shoes(canvas, body, *outfit.shoes)
    draw_torso(canvas, body)
    if outfit.lower and outfit.lower_cut:
        paint = {"pants": lowers.draw_pants, "shorts": lowers.draw_shorts, "skirt": lowers.draw_skirt}
        paint[outfit.lower](canvas, body, outfit.lower_cut)
    if outfit.lower != "pants":
        accessories.draw_shoes(canvas, body, *outfit.shoes)
    if outfit.under:
        uppers.draw_top(canvas, body, outfit.under)
    match outfit.upper:
        case "shirt":
            uppers.draw_shirt(canvas, body, outfit.upper_cut)
        case "top":
            uppers.draw_top(canvas, body, outfit.upper_cut)
        case "jacket":
            uppers.draw_jacket(canvas, body, outfit.upper_cut)
        case "coat":
            uppers.draw_coat(canvas, body, outfit.upper_cut, outfit.is_open)
        case "dress":
            uppers.draw_dress(canvas, body, outfit.upper_cut, outfit.flare)
    draw_head(canvas, body)
    if outfit.scarf:
        accessories.draw_scarf(canvas, body, *outfit.scarf)
    if outfit.hat:
        accessories.draw_hat(canvas, *outfit.hat)
    if outfit.bag:
        style, side, fabric = outfit.bag
        accessories.draw_bag(canvas, body, side, style, fabric)


def _upper_cut(
    rng: np.random.Generator, upper: str, fabric: ChooseFabric, trim: Callable[[], Texture]
) -> UpperCut:
    sleeves = (LONG, THREE_QUARTER, SHORT)
    ease = float(rng.uniform(0.0, 0.02))
    is_annotated = bool(rng.random() < ANNOTATED_SHARE)
    neck = str(rng.choice(("round", "v", "boat"), p=(0.45, 0.35, 0.2)))
    match upper:
        case "shirt":
            cloth, sleeve, hem = fabric(SHIRTING, 0.036), pick(rng, sleeves), rng.uniform(0.475, 0.505)
        case "top":
            cloth, sleeve = fabric(PATTERNED), sleeves[rng.choice(3, p=(0.3, 0.1, 0.6))]
            hem = rng.uniform(0.45, 0.48)
        case "jacket":
            cloth, sleeve, hem = fabric(HEAVY), LONG, rng.uniform(0.455, 0.48)
        case "coat":
            cloth, sleeve, hem = fabric(COATING, 0.06), LONG, rng.uniform(0.7, 0.82)
        case _:
            sleeve = (0.0, *sleeves)[rng.choice(4, p=(0.35, 0.2, 0.05, 0.4))]
            cloth, hem = fabric(PATTERNED, 0.05), rng.uniform(0.6, 0.8)
            ease = 0.0
    return UpperCut(cloth, float(hem), is_annotated, trim(), float(sleeve), ease, neck)


def _lower_cut(
    rng: np.random.Generator, upper: str, kind: str, fabric: ChooseFabric
) -> tuple[str | None, LowerCut | None]:
    """The lower garment; none under a dress, trousers or none (visible) under a coat."""
    if upper == "dress" or (upper == "coat" and kind == "skirt"):
        return None, None
    if upper == "coat":
        kind = "pants"
    is_annotated = bool(rng.random() < ANNOTATED_SHARE)
    has_pockets = bool(rng.random() < 0.35)
    if kind == "skirt":
        style = str(rng.choice(("a-line", "pencil", "pleated")))
        hem = float(rng.uniform(0.61, 0.78))
        return kind, LowerCut(fabric(PATTERNED), hem, is_annotated, style, has_pockets)
    if kind == "shorts":
        cloth, hem = fabric(TROUSERS), float(rng.uniform(0.63, 0.69))
        return kind, LowerCut(cloth, hem, is_annotated, "straight", has_pockets)
    style = str(rng.choice(list(lowers.PANTS_CUTS)))
    return kind, LowerCut(fabric(TROUSERS), 1.0, is_annotated, style, False)
