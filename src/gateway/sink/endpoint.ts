/** Where an S3 sink is. Pure. */

/** Whether an address is one that only somebody inside a network reaches: no sink of a deployment is there. */
export function endpointProblem(endpoint: string, environment: "production" | "development"): string | null {
  if (environment === "development") return null;
  const { protocol, hostname } = new URL(endpoint);
  if (protocol !== "https:") return "must be an https URL";
  return isPrivate(hostname) ? "must be a public address" : null;
}

/** The URL parser has made every spelling of an IPv4 address (hexadecimal, one number, octal) into four decimal numbers. */
function isPrivate(hostname: string): boolean {
  const host = hostname.replace(/\.$/, "").toLowerCase();
  if (host.startsWith("[")) return isPrivateV6(host.slice(1, -1));
  const v4 = /^(\d+)\.(\d+)\.\d+\.\d+$/.exec(host);
  if (v4) return isPrivateV4(Number(v4[1]), Number(v4[2]));
  return !host.includes(".") || /(?:^|\.)(?:localhost|internal|local|lan|home\.arpa)$/.test(host);
}

function isPrivateV4(a: number, b: number): boolean {
  if (a === 0 || a === 10 || a === 127 || a >= 224) return true;
  if (a === 100) return b >= 64 && b < 128;
  if (a === 169) return b === 254;
  if (a === 172) return b >= 16 && b < 32;
  if (a === 192) return b === 168 || b === 0;
  return a === 198 && (b === 18 || b === 19);
}

/** Only what is global unicast (2000::/3), and neither an old tunnel nor a way around to IPv4 inside it. */
const isPrivateV6 = (address: string): boolean =>
  !/^[23][0-9a-f]{3}:/.test(address) || /^(?:2001:0?:|2001:db8:|2002:)/.test(address);

/** Of a sink that names none: AWS, by paths, since a bucket's name may have dots. */
export const endpointOf = (sink: { endpoint?: string | undefined; region: string }): string =>
  sink.endpoint ?? `https://s3.${sink.region}.amazonaws.com`;
