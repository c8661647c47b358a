/** The client: `createBoilerhouse({ baseUrl, key })`. Depends on openapi-fetch and the catalogue of errors alone. */
export {
  type Boilerhouse,
  type BoilerhouseOptions,
  type Claim,
  type ClaimOptions,
  createBoilerhouse,
  type Operation,
  type Release,
  type ReleaseOptions,
  type Schemas,
  type Waiting,
} from "./client.ts";
export { BoilerhouseError, type ClientCode } from "./error.ts";
export type { paths } from "./schema.d.ts";
export type { Sending } from "./send.ts";
