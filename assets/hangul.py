"""Makes hangul-regular.ttf.z and hangul-bold.ttf.z: what figures are set in where DejaVu Sans has no glyph.

    npm pack @fontsource/nanum-gothic@5.3.0 && tar xzf fontsource-nanum-gothic-5.3.0.tgz
    pip install fonttools==4.68.0 brotli==1.2.1
    python assets/hangul.py package/files assets

The characters are the 2,350 syllables of KS X 1001, the compatibility jamo, and the punctuation and full-width forms that
stand between them. Hinting, layout tables and names go: glyphs are drawn large or as outlines.
"""

import glob
import sys
import zlib

from fontTools.merge import Merger
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

files, out = sys.argv[1:]

SYLLABLES = [bytes([row, cell]).decode("euc-kr") for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF)]
JAMO = [chr(code) for code in range(0x3131, 0x318F)]
SIGNS = [chr(code) for code in [*range(0x3001, 0x3020), *range(0xFF01, 0xFF5F), 0x00B7, 0x20A9, 0xFFE6]]
wanted = {ord(character) for character in SYLLABLES + JAMO + SIGNS}
assert len(SYLLABLES) == 2350

for weight, name in [(400, "Regular"), (700, "Bold")]:
    parts, missing = [], set(wanted)
    korean = f"{files}/nanum-gothic-korean-{weight}-normal.woff2"
    for path in [korean, *sorted(set(glob.glob(f"{files}/nanum-gothic-*-{weight}-normal.woff2")) - {korean})]:
        font = TTFont(path)
        here = missing & set(font.getBestCmap())
        if not here:
            continue
        missing -= here
        options = Options(hinting=False, layout_features=[], notdef_outline=True, drop_tables=["GSUB", "GPOS", "gasp", "DSIG"])
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=here)
        subsetter.subset(font)
        font.flavor = None
        part = f"{out}/part-{len(parts)}.ttf"
        font.save(part)
        parts.append(part)
    assert not missing & {ord(character) for character in SYLLABLES + JAMO[:51]}
    font = Merger().merge(parts)
    for table in ["GSUB", "GPOS", "GDEF", "gasp"]:
        if table in font:
            del font[table]
    # A changed font has a name of its own; its copyright and licence stay.
    names = font["name"]
    kept = [record for record in names.names if record.nameID in (0, 13, 14)]
    names.names = kept
    for number, text in {1: "Ablate Hangul", 2: name, 4: f"Ablate Hangul {name}", 6: f"AblateHangul-{name}"}.items():
        names.setName(text, number, 3, 1, 0x409)
    font["post"].formatType = 3.0
    path = f"{out}/part-all.ttf"
    font["head"].created = font["head"].modified = 0
    font.recalcTimestamp = False
    font.save(path)
    data = open(path, "rb").read()
    open(f"{out}/hangul-{name.lower()}.ttf.z", "wb").write(zlib.compress(data, 9))
    print(name, len(font.getBestCmap()), "characters", len(data), "bytes")
