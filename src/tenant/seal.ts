/**
 * Secrets at rest: AES-256-GCM under SECRETS_KEY with a random 96-bit nonce in front, and the tenant as additional data,
 * so that one tenant's ciphertext opens as nobody else's.
 */
const NONCE_BYTES = 12;

export async function seal(
  key: Uint8Array<ArrayBuffer>,
  tenantId: string,
  secrets: Record<string, string>,
): Promise<string> {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const plain = new TextEncoder().encode(JSON.stringify(secrets));
  const sealed = await crypto.subtle.encrypt(parameters(nonce, tenantId), await importKey(key), plain);
  return Buffer.concat([nonce, new Uint8Array(sealed)]).toString("base64");
}

/** @throws when the text was sealed under another key or for another tenant. */
export async function unseal(
  key: Uint8Array<ArrayBuffer>,
  tenantId: string,
  text: string,
): Promise<Record<string, string>> {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  const plain = await crypto.subtle.decrypt(
    parameters(bytes.slice(0, NONCE_BYTES), tenantId),
    await importKey(key),
    bytes.slice(NONCE_BYTES),
  );
  return JSON.parse(new TextDecoder().decode(plain)) as Record<string, string>;
}

/** SHA-256 in hex over config and secrets with sorted keys; empty when neither was given. */
export async function fingerprint(config: unknown, secrets: Record<string, string> | undefined): Promise<string> {
  if (config === undefined && secrets === undefined) return "";
  const bytes = new TextEncoder().encode(JSON.stringify(sorted({ config, secrets })));
  return Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

const importKey = (key: Uint8Array<ArrayBuffer>) =>
  crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]);
const parameters = (iv: Uint8Array<ArrayBuffer>, tenantId: string) => ({
  name: "AES-GCM",
  iv,
  additionalData: new TextEncoder().encode(`secrets:${tenantId}`),
});
