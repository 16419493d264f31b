'use client';

export default function GlobalError() {
  return (
    <html lang="en">
      <body>all of it failed</body>
    </html>
  );
}
