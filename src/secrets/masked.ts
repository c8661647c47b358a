/** Long enough that its last characters do not give it away. */
const SHOWN_FROM = 16;

/** What is shown of a secret: dots, and of a long one its last four characters. Pure. */
export const masked = (value: string): string => `••••${value.length >= SHOWN_FROM ? value.slice(-4) : ""}`;
