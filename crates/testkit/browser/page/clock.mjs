// The clock in a picture, as `src/clock_picture.rs` of this crate draws it: a grid of black and white cells in the upper
// left corner that holds a time in milliseconds and its checksum. Runs in the browser and, for tests, in node.
//
// Does not: guess. A cell that is neither black nor white, or a checksum that is wrong, makes the picture unreadable.

/** Cells in a row. */
export const COLUMNS = 12;
/** Rows of cells. */
export const ROWS = 4;
/** Pixels of a cell's side where it is read: whatever the picture's size, its corner is drawn to this scale. */
export const CELL = 8;

/** Pixels of a cell's side in a picture of this width. */
export function cellOf(width) {
  return 16 * Math.max(1, Math.floor(width / 640));
}

/** Distance from mid grey, of 127, that a cell must have: an encoder at its worst leaves 60 or more. */
const CONTRAST = 40;

/** CRC-16/CCITT-FALSE of the four bytes of `time`. */
export function checksum(time) {
  let crc = 0xffff;
  for (const shift of [24, 16, 8, 0]) {
    crc ^= ((time >>> shift) & 0xff) << 8;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
  }
  return crc;
}

/**
 * The time in RGBA pixels of `COLUMNS * CELL` by `ROWS * CELL`, in milliseconds modulo 2^32; `null` when there is none.
 */
export function read(pixels) {
  const width = COLUMNS * CELL;
  let time = 0;
  let sum = 0;
  for (let cell = 0; cell < COLUMNS * ROWS; cell += 1) {
    const left = (cell % COLUMNS) * CELL;
    const top = Math.floor(cell / COLUMNS) * CELL;
    let light = 0;
    // the middle half of the cell: its edges are blurred
    for (let y = top + CELL / 4; y < top + (3 * CELL) / 4; y += 1) {
      for (let x = left + CELL / 4; x < left + (3 * CELL) / 4; x += 1) {
        const at = 4 * (y * width + x);
        light += (pixels[at] + pixels[at + 1] + pixels[at + 2]) / 3;
      }
    }
    light /= (CELL / 2) ** 2;
    if (Math.abs(light - 127.5) < CONTRAST) return null;
    const bit = light > 127.5 ? 1 : 0;
    if (cell < 32) time = ((time << 1) | bit) >>> 0;
    else sum = (sum << 1) | bit;
  }
  return sum === checksum(time) ? time : null;
}

/** Milliseconds from `time` to `now`, both modulo 2^32: negative when the picture is from the future. */
export function age(now, time) {
  return (Math.floor(now) - time) | 0;
}
