import { createHash, timingSafeEqual } from "node:crypto";

/** Whether a request carries the access key of this boot: rclone's in its signature's `Credential`, curl's in a header of its own. */
export function allowed(headers: Headers, accessKeyId: string): boolean {
  const given = headers.get("x-boilerhouse-access-key") ?? credential(headers.get("authorization"));
  return given !== null && accessKeyId !== "" && timingSafeEqual(digest(given), digest(accessKeyId));
}

/** The signature itself is not checked: the key opens nothing outside the container that it was made for. */
function credential(authorization: string | null): string | null {
  return /^AWS4-HMAC-SHA256\s.*\bCredential=([^/,\s]+)\//.exec(authorization ?? "")?.[1] ?? null;
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
