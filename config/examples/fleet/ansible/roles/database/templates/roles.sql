{{ lookup('ansible.builtin.file', playbook_dir + '/roles.sql') }}
CREATE ROLE otp_standby LOGIN REPLICATION;
ALTER ROLE otp_owner PASSWORD '{{ lookup('ansible.builtin.file', pam_otp_secrets + '/owner-password') }}';
ALTER ROLE otp_verifier PASSWORD '{{ lookup('ansible.builtin.file', pam_otp_secrets + '/verifier-password') }}';
ALTER ROLE otp_standby PASSWORD '{{ lookup('ansible.builtin.file', pam_otp_secrets + '/standby-password') }}';
