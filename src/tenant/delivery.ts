import type { Delivery } from "./record.ts";

/** What a claim brought with it. It is merged when the claim is planned, so that no claim undoes another one's. */
export interface Given {
  publicUrl?: string;
  /** Config and secrets replace the earlier ones together; absent: they stay. */
  content?: Pick<Delivery, "config" | "sealedSecrets" | "fingerprint">;
}

/** What the next start delivers after a claim; the same object when that changes nothing. Pure. */
export function delivered(before: Delivery, given: Given | null): Delivery {
  const publicUrl = given?.publicUrl ?? before.publicUrl;
  const content = given?.content && given.content.fingerprint !== before.fingerprint ? given.content : null;
  if (!content && publicUrl === before.publicUrl) return before;
  return { ...(content ?? before), ...(publicUrl === undefined ? {} : { publicUrl }) };
}
