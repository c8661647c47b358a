import { malformedXml } from "./errors.ts";

/** An element of a small document that S3 clients send, without its namespace and attributes. */
export interface XmlNode {
  name: string;
  /** All character data within, in order; that of an element without children is its text. */
  text: string;
  children: XmlNode[];
}

const TOKEN =
  /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)(?:[\w.-]+:)?([\w.-]+)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;
const DEEPEST = 8;

/** The root element, which must have this name. A DOCTYPE is malformed here, as are unknown entities. @throws S3Error `MalformedXML` */
export function parseXml(xml: string, root: string): XmlNode {
  const document: XmlNode = { name: "", text: "", children: [] };
  const open: XmlNode[] = [document];
  const source = xml.replace(/^\uFEFF/, "");
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const token = TOKEN.exec(source);
    const top = open.at(-1);
    if (token === null || top === undefined) throw malformedXml();
    const [, cdata, closing, name, , empty, text] = token;
    if (cdata !== undefined) top.text += cdata;
    else if (text !== undefined) top.text += unescapeXml(text);
    else if (name !== undefined) {
      if (closing === "/") {
        if (open.pop()?.name !== name) throw malformedXml();
      } else {
        const node: XmlNode = { name, text: "", children: [] };
        top.children.push(node);
        if (empty !== "/") open.push(node);
        if (open.length > DEEPEST) throw malformedXml();
      }
    }
  }
  const [only, ...others] = document.children;
  if (open.length !== 1 || document.text.trim() !== "" || others.length > 0 || only?.name !== root)
    throw malformedXml();
  return only;
}

/** The text of the first child of this name, or null. */
export const childText = (node: XmlNode, name: string): string | null =>
  node.children.find((child) => child.name === name)?.text ?? null;

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** @throws S3Error `MalformedXML` */
function unescapeXml(text: string): string {
  return text.replace(/&(?:#(\d{1,7});|#x([0-9a-fA-F]{1,6});|(\w+);)?/g, (_, decimal, hex, named) => {
    if (named !== undefined) {
      const character = ENTITIES[named as string];
      if (character === undefined) throw malformedXml();
      return character;
    }
    const code = decimal !== undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hex ?? "", 16);
    // Control characters stand in names of files, whatever XML 1.0 says; NUL and halves of characters do not.
    if (!(code > 0 && code <= 0x10ffff) || (code >= 0xd800 && code <= 0xdfff)) throw malformedXml();
    return String.fromCodePoint(code);
  });
}
