/** The APP0 segment that says "JFIF", which sharp leaves out and the server's pictures begin with. */
const jfifStart = Buffer.from("ffe000104a46494600010100000100010000", "hex");

/** A JPEG with its JFIF segment right after the start marker. */
export function withJfif(jpeg: Buffer): Buffer {
  const isThere = jpeg.readUInt16BE(2) === 0xffe0;
  return isThere ? jpeg : Buffer.concat([jpeg.subarray(0, 2), jfifStart, jpeg.subarray(2)]);
}
