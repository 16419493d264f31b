import type { Metadata, Viewport } from 'next';
import Link from 'next/link';
import { Nav } from '@/components/nav';
import './globals.css';

export const metadata: Metadata = {
  title: { default: 'web', template: '%s · web' },
  description: 'A Next.js app with PocketBase behind it.',
};

export const viewport: Viewport = {
  colorScheme: 'light dark',
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#faf8f5' },
    { media: '(prefers-color-scheme: dark)', color: '#14151a' },
  ],
};

export default function RootLayout({ children }: LayoutProps<'/'>) {
  return (
    <html lang="en">
      <body>
        <header className="site-header">
          <Link href="/" className="brand">
            <span className="brand-mark" aria-hidden="true" />
            web
          </Link>
          <Nav />
        </header>
        <main>{children}</main>
        <footer className="site-footer">Next.js, Caddy and PocketBase on one host.</footer>
      </body>
    </html>
  );
}
