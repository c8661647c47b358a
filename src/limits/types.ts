/** What is left of a principal's minute, for the `RateLimit` headers. */
export interface Allowance {
  /** 0: the request may go on; else in how many ms the next one may. */
  waitMs: number;
  remaining: number;
  fullInMs: number;
}

/** The RPC surface of the Limiter: one object for every limited principal, and one for every address that failed. */
export interface LimiterApi {
  /** Takes one request out of a minute's. */
  take(perMinute: number): Promise<Allowance>;
  /** A credential, named by its hash, opened nothing. What it has to wait now, itself and its address; 0: nothing. */
  failed(credential: string): Promise<{ credentialWaitMs: number; addressWaitMs: number }>;
}
