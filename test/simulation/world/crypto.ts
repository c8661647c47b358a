import * as node from "node:crypto";
import type { Random } from "../../support/random.ts";

/**
 * The global `crypto`, drawn from the seed and computed at once: a thread pool would answer in an order of its own. Only
 * what `src` uses; anything else says so.
 */
export function simulatedCrypto(random: Random): Crypto {
  const fill = <T extends ArrayBufferView>(view: T): T => {
    const bytes = new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = random.int(256);
    return view;
  };
  const randomUUID = () => {
    const bytes = fill(new Uint8Array(16));
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
    const hex = Buffer.from(bytes).toString("hex");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  };
  return { getRandomValues: fill, randomUUID, subtle } as unknown as Crypto;
}

interface Key {
  readonly bytes: Buffer;
}
type Bytes = ArrayBuffer | ArrayBufferView;
interface Algorithm {
  name: string;
  hash?: string | { name: string };
  iv?: Bytes;
  additionalData?: Bytes;
}

const named = (algorithm: string | Algorithm): Algorithm =>
  typeof algorithm === "string" ? { name: algorithm } : algorithm;
const bufferOf = (data: Bytes): Buffer =>
  data instanceof ArrayBuffer
    ? Buffer.from(data)
    : Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
const out = (buffer: Buffer): ArrayBuffer => new Uint8Array(buffer).buffer;
const TAG = 16;

function refuse(what: string): never {
  throw new Error(`The simulated platform has no ${what}.`);
}

function mac(key: Key, data: Bytes): Buffer {
  return node.createHmac("sha256", key.bytes).update(bufferOf(data)).digest();
}

const subtle = {
  async importKey(format: string, data: Bytes, algorithm: string | Algorithm): Promise<Key> {
    if (format !== "raw" || !["HMAC", "AES-GCM"].includes(named(algorithm).name)) refuse(`key ${format}`);
    return { bytes: Buffer.from(bufferOf(data)) };
  },
  async digest(algorithm: string | Algorithm, data: Bytes): Promise<ArrayBuffer> {
    return out(node.createHash(named(algorithm).name.toLowerCase().replace("-", "")).update(bufferOf(data)).digest());
  },
  async sign(_algorithm: string | Algorithm, key: Key, data: Bytes): Promise<ArrayBuffer> {
    return out(mac(key, data));
  },
  async verify(_algorithm: string | Algorithm, key: Key, signature: Bytes, data: Bytes): Promise<boolean> {
    const [expected, given] = [mac(key, data), bufferOf(signature)];
    return expected.length === given.length && node.timingSafeEqual(expected, given);
  },
  async encrypt(algorithm: Algorithm, key: Key, data: Bytes): Promise<ArrayBuffer> {
    const cipher = node.createCipheriv("aes-256-gcm", key.bytes, bufferOf(algorithm.iv ?? refuse("cipher without iv")));
    if (algorithm.additionalData) cipher.setAAD(bufferOf(algorithm.additionalData));
    return out(Buffer.concat([cipher.update(bufferOf(data)), cipher.final(), cipher.getAuthTag()]));
  },
  async decrypt(algorithm: Algorithm, key: Key, data: Bytes): Promise<ArrayBuffer> {
    const sealed = bufferOf(data);
    const decipher = node.createDecipheriv(
      "aes-256-gcm",
      key.bytes,
      bufferOf(algorithm.iv ?? refuse("cipher without iv")),
    );
    if (algorithm.additionalData) decipher.setAAD(bufferOf(algorithm.additionalData));
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
    try {
      return out(Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG)), decipher.final()]));
    } catch {
      throw new DOMException("Decryption failed.", "OperationError");
    }
  },
};
