export default function Layout({ children, team, figures }) {
  return (
    <section>
      {children}
      {team}
      {figures}
    </section>
  );
}
