import { keyIdOf } from "../sha256.ts";
import type { Secret } from "./secret.ts";

/**
 * Secrets at rest: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce in front of every ciphertext. A tenant's
 * values are sealed under a data key of its own, which is kept wrapped under SECRETS_KEY; so the platform's key can be
 * changed by wrapping one small key per tenant anew. What a value belongs to is its additional data: moved to another
 * tenant or name, it does not open.
 */
const NONCE_BYTES = 12;

export interface Keyring {
  /** 32 bytes; everything is sealed under this one. */
  readonly secretsKey: Secret<Uint8Array<ArrayBuffer>> | null;
  /** Opens what was sealed before the last rotation. */
  readonly secretsKeyPrevious: Secret<Uint8Array<ArrayBuffer>> | null;
}

/** A data key as it is stored: which platform key wraps it, and its ciphertext in base64. */
export interface WrappedKey {
  keyId: string;
  wrapped: string;
}

/** Text under the platform's own key, for what belongs to no tenant: `<key id>.<base64>`. @throws when SECRETS_KEY is not set */
export async function sealUnder(keyring: Keyring, aad: string, plain: string): Promise<string> {
  const key = current(keyring);
  const sealed = await encrypt(await imported(key), aad, new TextEncoder().encode(plain));
  return `${keyIdOf(key)}.${sealed}`;
}

/** @throws when it was sealed under a key that is not in the ring, or for something else. */
export async function openUnder(keyring: Keyring, aad: string, sealed: string): Promise<string> {
  const [keyId = "", text = ""] = sealed.split(".", 2);
  return new TextDecoder().decode(await decrypt(await imported(keyOf(keyring, keyId)), aad, text));
}

/** Whether text that `sealUnder` made would be made under another key today. */
export const isOutdated = (keyring: Keyring, sealed: string): boolean =>
  !sealed.startsWith(`${keyIdOf(current(keyring))}.`);

/** A fresh data key for `owner`, wrapped. */
export async function newDataKey(keyring: Keyring, owner: string): Promise<WrappedKey> {
  return wrap(current(keyring), owner, crypto.getRandomValues(new Uint8Array(32)));
}

/** The same data key under the current platform key; null when it is already. */
export async function rewrapped(keyring: Keyring, owner: string, key: WrappedKey): Promise<WrappedKey | null> {
  const now = current(keyring);
  if (key.keyId === keyIdOf(now)) return null;
  return wrap(now, owner, await unwrap(keyring, owner, key));
}

/** A data key in memory, to seal and open one owner's values. */
export class DataKey {
  readonly #owner: string;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  private constructor(owner: string, bytes: Uint8Array<ArrayBuffer>) {
    this.#owner = owner;
    this.#bytes = bytes;
  }

  /** @throws when the platform key that wraps it is not in the ring. */
  static async open(keyring: Keyring, owner: string, key: WrappedKey): Promise<DataKey> {
    return new DataKey(owner, await unwrap(keyring, owner, key));
  }

  /** `name` and the owner are bound to the ciphertext. */
  async seal(name: string, plain: string): Promise<string> {
    return encrypt(await imported(this.#bytes), this.#aad(name), new TextEncoder().encode(plain));
  }

  async unseal(name: string, sealed: string): Promise<string> {
    return new TextDecoder().decode(await decrypt(await imported(this.#bytes), this.#aad(name), sealed));
  }

  /** HMAC-SHA-256 in hex: tells whether two texts are equal, to whoever holds the key and to nobody else. */
  async fingerprint(text: string): Promise<string> {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", this.#bytes, algorithm, false, ["sign"]);
    return Buffer.from(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text))).toString("hex");
  }

  #aad(name: string): string {
    return `value\0${this.#owner}\0${name}`;
  }
}

async function wrap(key: Uint8Array<ArrayBuffer>, owner: string, dataKey: Uint8Array): Promise<WrappedKey> {
  const keyId = keyIdOf(key);
  return { keyId, wrapped: await encrypt(await imported(key), `key\0${owner}\0${keyId}`, dataKey) };
}

async function unwrap(keyring: Keyring, owner: string, key: WrappedKey): Promise<Uint8Array<ArrayBuffer>> {
  return decrypt(await imported(keyOf(keyring, key.keyId)), `key\0${owner}\0${key.keyId}`, key.wrapped);
}

function current({ secretsKey }: Keyring): Uint8Array<ArrayBuffer> {
  if (!secretsKey) throw new Error("SECRETS_KEY is not set");
  return secretsKey.reveal();
}

function keyOf({ secretsKey, secretsKeyPrevious }: Keyring, keyId: string): Uint8Array<ArrayBuffer> {
  for (const secret of [secretsKey, secretsKeyPrevious]) {
    const key = secret?.reveal();
    if (key && keyIdOf(key) === keyId) return key;
  }
  throw new Error(`the platform key ${keyId} is neither SECRETS_KEY nor SECRETS_KEY_PREVIOUS`);
}

const imported = (key: Uint8Array<ArrayBuffer>): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]);

const parameters = (iv: Uint8Array<ArrayBuffer>, aad: string) => ({
  name: "AES-GCM",
  iv,
  additionalData: new TextEncoder().encode(aad),
});

async function encrypt(key: CryptoKey, aad: string, plain: Uint8Array): Promise<string> {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const sealed = await crypto.subtle.encrypt(parameters(nonce, aad), key, plain);
  return Buffer.concat([nonce, new Uint8Array(sealed)]).toString("base64");
}

async function decrypt(key: CryptoKey, aad: string, text: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  const plain = await crypto.subtle.decrypt(
    parameters(bytes.slice(0, NONCE_BYTES), aad),
    key,
    bytes.slice(NONCE_BYTES),
  );
  return new Uint8Array(plain);
}
