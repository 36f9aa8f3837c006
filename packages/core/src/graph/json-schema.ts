/** A JSON Schema as plain data: stringified, it is the document to publish. */
export type JsonSchema = Readonly<Record<string, unknown>>;
