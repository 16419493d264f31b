export const metadata = { title: 'routes', metadataBase: new URL('https://example.org') };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
