import { hash } from "node:crypto";

/** SHA-256 in hex; text as UTF-8. */
export const sha256 = (content: string | Uint8Array): string => hash("sha256", content, "hex");

/** Names a key without telling it: the first 8 hex digits of its SHA-256. */
export const keyIdOf = (key: string | Uint8Array): string => sha256(key).slice(0, 8);
