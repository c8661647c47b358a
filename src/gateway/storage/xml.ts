const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";
const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

export const xmlDocument = (root: string, content: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${root === "Error" ? "" : ` xmlns="${NAMESPACE}"`}>${content}</${root}>`;

export const xml = (root: string, content: string): Response =>
  new Response(xmlDocument(root, content), { headers: { "content-type": "application/xml" } });

/** An element with text; control characters that XML cannot carry as they are become references. */
export const element = (name: string, value: string | number | boolean): string =>
  `<${name}>${escapeXml(String(value))}</${name}>`;
export const group = (name: string, content: string): string => `<${name}>${content}</${name}>`;

function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: file names may hold them, and XML 1.0 may not
  return text.replace(/[&<>"\u0000-\u001f\ufffe\uffff]/g, (c) => {
    switch (c) {
      case "&":
        return "&amp;";
      case "<":
        return "&lt;";
      case ">":
        return "&gt;";
      case '"':
        return "&quot;";
      default:
        return `&#x${c.charCodeAt(0).toString(16).toUpperCase()};`;
    }
  });
}

/** The contents of every `<name>` in a small document that S3 clients send; nesting of the same name does not occur in them. */
export function* elements(xml: string, name: string): Generator<string> {
  const pattern = new RegExp(`<(?:\\w+:)?${name}(?:\\s[^>]*)?>([\\s\\S]*?)</(?:\\w+:)?${name}\\s*>`, "g");
  for (const match of xml.matchAll(pattern)) yield match[1] as string;
}

/** The text of the first `<name>`, or null. */
export function textOf(xml: string, name: string): string | null {
  for (const content of elements(xml, name)) return unescapeXml(content);
  return null;
}

function unescapeXml(text: string): string {
  return text.replace(/&(?:#(\d+)|#[xX]([0-9a-fA-F]+)|(\w+));/g, (whole, decimal, hex, named) => {
    if (decimal !== undefined) return fromCode(Number.parseInt(decimal, 10), whole);
    if (hex !== undefined) return fromCode(Number.parseInt(hex, 16), whole);
    return ENTITIES[named as string] ?? whole;
  });
}

const fromCode = (code: number, otherwise: string): string =>
  code <= 0x10ffff ? String.fromCodePoint(code) : otherwise;
