/** Text from elsewhere without control characters that could move the cursor; tabs and new lines stay. */
export function sanitise(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it removes
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
}
