import { WORD } from './word';
import './style.css';

export const metadata = { title: 'browser' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <p id="release">release {WORD}</p>
        {children}
      </body>
    </html>
  );
}
