import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Bodies } from "../../src/vault/bodies.ts";
import { Entries } from "../../src/vault/entries.ts";
import { Packs } from "../../src/vault/packs/store.ts";
import type { VaultParts } from "../../src/vault/parts.ts";
import { VaultStore } from "../../src/vault/store.ts";

/** Works with what delivers a vault's contents to R2, inside its object. */
export const withParts = (tenantId: string, work: (parts: VaultParts) => Promise<unknown>): Promise<void> =>
  runInDurableObject(env.VAULT.getByName(tenantId), async (_, { storage }) => {
    await work({
      storage,
      store: new VaultStore(storage.sql),
      entries: new Entries(storage.sql),
      bodies: new Bodies(storage.sql),
      packs: new Packs(storage.sql),
      bucket: () => env.BUCKET,
      prefix: () => `tenants/${tenantId}/`,
    } as unknown as VaultParts);
  });
