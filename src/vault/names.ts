/**
 * File names are bytes; the vault keeps them as text. Valid UTF-8 is kept as it is. Every byte that is not part of a valid character becomes
 * a character of its own out of U+10FF80…U+10FFFF (private use, plane 16), and a name that holds such characters itself is taken apart
 * in the same way, so that no two names become one and each comes back byte for byte.
 */
const STRAY = 0x10ff00;
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
/** U+10FF80…U+10FFFF in UTF-16. */
const RESERVED = /\udbff[\udf80-\udfff]/;

export function decodeName(bytes: Uint8Array): string {
  try {
    const text = strict.decode(bytes);
    if (!RESERVED.test(text)) return text;
  } catch {
    // Not UTF-8 as a whole: character by character below.
  }
  let out = "";
  for (let at = 0; at < bytes.length; ) {
    const character = characterAt(bytes, at);
    out += character ?? String.fromCodePoint(STRAY + (bytes[at] as number));
    at += character === null ? 1 : encoder.encode(character).length;
  }
  return out;
}

export function encodeName(text: string): Uint8Array {
  if (!RESERVED.test(text)) return encoder.encode(text);
  const bytes: number[] = [];
  for (const character of text) {
    if (RESERVED.test(character)) bytes.push((character.codePointAt(0) ?? 0) - STRAY);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** One valid character that is not reserved, or null. */
function characterAt(bytes: Uint8Array, at: number): string | null {
  const first = bytes[at] as number;
  const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  try {
    const text = strict.decode(bytes.subarray(at, at + length));
    return RESERVED.test(text) || Array.from(text).length !== 1 ? null : text;
  } catch {
    return null;
  }
}
